// Element types in device code. Kernels convert every value that they load to float32 and compute in float32.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "common/element_type.h"

namespace yolact {

__device__ inline float toFloat(float value) { return value; }
__device__ inline float toFloat(__half value) { return __half2float(value); }
__device__ inline float toFloat(__nv_bfloat16 value) { return __bfloat162float(value); }

// Calls `action` with a value of the C++ type that `type` stands for. Only the type of that value matters.
template <typename Action>
cudaError_t withElementType(int type, Action action)
{
    switch (type) {
    case YOLACT_FLOAT32: return action(float{});
    case YOLACT_FLOAT16: return action(__half{});
    case YOLACT_BFLOAT16: return action(__nv_bfloat16{});
    default: return cudaErrorInvalidValue;
    }
}

}  // namespace yolact
