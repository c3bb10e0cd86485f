/* What a file says about itself before anything decodes it, so that small files of huge images are refused. */
#ifndef IMAGE_HEADER_H
#define IMAGE_HEADER_H

#include <stddef.h>
#include <stdint.h>

typedef enum image_kind { KIND_OTHER, KIND_JPEG, KIND_PNG } image_kind;

/* The kind by its signature; `width` and `height` are 0 where the header ends before it has said them. */
image_kind read_image_header(const unsigned char* data, size_t size, uint32_t* width, uint32_t* height);

enum { MAX_SCANS = 100, MAX_PACKED_TEXTS = 16 };

/* Whether decoding takes far longer than the size says, by the scans of a JPEG or the packed texts of a PNG, each of
 * which costs milliseconds for some dozen bytes. */
int is_costly(image_kind kind, const unsigned char* data, size_t size);

#endif
