/* What the codes say that the functions of the C interface return. */
#ifndef YOLACT_CUDA_ERROR_H
#define YOLACT_CUDA_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* A cudaError_t as "cudaErrorLaunchFailure: unspecified launch failure"; lives until the thread's next call. */
const char* yolact_cuda_error(int code);

#ifdef __cplusplus
}
#endif

#endif
