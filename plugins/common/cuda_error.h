/* The names and texts of the error codes that the functions of the C interface return. */
#ifndef YOLACT_CUDA_ERROR_H
#define YOLACT_CUDA_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* A cudaError_t in words, such as "cudaErrorLaunchFailure: unspecified launch failure". The text is valid until the
 * same thread calls this or a check function again.
 */
const char* yolact_cuda_error(int code);

#ifdef __cplusplus
}
#endif

#endif
