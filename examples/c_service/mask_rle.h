/* Masks as COCO has them. */
#ifndef MASK_RLE_H
#define MASK_RLE_H

#include <yolact.h>

#include "text.h"

/* Writes COCO's compressed run lengths: of zeros and ones by turns, down the columns of the whole image, zeros first.
 */
void write_mask_counts(text* to, const yolact_mask* mask, int32_t width, int32_t height);

#endif
