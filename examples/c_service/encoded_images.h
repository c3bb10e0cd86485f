/* The image files inside the body of a V2 request. */
#ifndef ENCODED_IMAGES_H
#define ENCODED_IMAGES_H

#include "inference_request.h"
#include "json_reader.h"

/* Takes images from a list in the JSON, where they are base64. Returns the HTTP status. */
int take_base64_images(inference_request* to, json_reader* from);

/* Takes images that follow the JSON, each after its length of four bytes. Returns the HTTP status. */
int take_binary_images(inference_request* to, const unsigned char* data, size_t size);

#endif
