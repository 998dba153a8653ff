// A minimal stub, see NvInfer.h.
#pragma once

extern "C" bool initLibNvInferPlugins(void* logger, const char* libNamespace);
