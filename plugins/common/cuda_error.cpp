#include "common/cuda_error.h"

#include <cuda_runtime_api.h>

#include "common/sentence.h"

const char* yolact_cuda_error(int code)
{
    const auto error = static_cast<cudaError_t>(code);
    return yolact::sentence("%s: %s", cudaGetErrorName(error), cudaGetErrorString(error));
}
