"""Integer layers: products of bytes are summed in int32."""
