/* The header of an image file. It is read before the image is decoded, so that small files of huge images are refused.
 */
#ifndef IMAGE_HEADER_H
#define IMAGE_HEADER_H

#include <stddef.h>
#include <stdint.h>

typedef enum image_kind { KIND_OTHER, KIND_JPEG, KIND_PNG } image_kind;

/* The kind, which the first bytes tell. `width` and `height` become 0 where the data ends before they come. */
image_kind read_image_header(const unsigned char* data, size_t size, uint32_t* width, uint32_t* height);

enum { MAX_SCANS = 100, MAX_PACKED_TEXTS = 16 };

/* Whether decoding takes far longer than the number of pixels suggests. Each scan of a JPEG and each packed text of a
 * PNG costs milliseconds, and a file has room for one in some dozen bytes. */
int is_costly(image_kind kind, const unsigned char* data, size_t size);

#endif
