/* What a request of KServe's V2 protocol asks for: the images, and which tensors come back and how. */
#ifndef INFERENCE_REQUEST_H
#define INFERENCE_REQUEST_H

#include "tensors.h"

typedef struct encoded_image {
    const unsigned char* data;
    size_t size;
} encoded_image;

typedef struct inference_request {
    const char* id; /* of the client, "" where it gave none */
    encoded_image* images;
    size_t image_count;
    struct {
        tensor which;
        int is_binary;
    } outputs[TENSORS];
    size_t output_count;
    char problem[512]; /* of a request that is refused */
} inference_request;

/* Reads a body of `size` bytes, the first `json_size` of which are JSON. Images and id lie in the body, which is
 * changed. Returns the HTTP status; where that is not 200, `problem` says why. */
int read_inference_request(inference_request* to, unsigned char* body, size_t size, size_t json_size, const model* of);

/* Frees what was read, and leaves the body. */
void free_inference_request(inference_request* of);

#endif
