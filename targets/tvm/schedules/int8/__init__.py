"""Layers of bytes whose products are summed in int32."""
