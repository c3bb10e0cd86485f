// Element types in device code. Kernels convert every value that they load to float32 and compute in float32.
#pragma once

#include <math.h>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "common/element_type.h"

namespace yolact {

__device__ inline float toFloat(float value) { return value; }
__device__ inline float toFloat(__half value) { return __half2float(value); }
__device__ inline float toFloat(__nv_bfloat16 value) { return __bfloat162float(value); }

// Two values of a type of 16 bits that lie side by side.
template <typename T>
struct PairOf;
template <>
struct PairOf<__half> {
    using type = __half2;
};
template <>
struct PairOf<__nv_bfloat16> {
    using type = __nv_bfloat162;
};
__device__ inline __half2 pairOf(__half, float low, float high) { return __floats2half2_rn(low, high); }
__device__ inline __nv_bfloat162 pairOf(__nv_bfloat16, float low, float high)
{
    return __floats2bfloat162_rn(low, high);
}

// The larger values of two pairs, each place on its own. NaN is passed over. CUDA 12.0 has an instruction for both
// types, but only from sm_80 on.
template <typename T>
__device__ typename PairOf<T>::type largerOf(typename PairOf<T>::type a, typename PairOf<T>::type b)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    return __hmax2(a, b);
#else
    return pairOf(T{}, fmaxf(__low2float(a), __low2float(b)), fmaxf(__high2float(a), __high2float(b)));
#endif
}

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
