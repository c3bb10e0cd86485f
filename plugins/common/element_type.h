/* The element types of a network's tensors. */
#ifndef YOLACT_ELEMENT_TYPE_H
#define YOLACT_ELEMENT_TYPE_H

typedef enum YolactElementType {
    YOLACT_FLOAT32 = 0,
    YOLACT_FLOAT16 = 1,
    YOLACT_BFLOAT16 = 2,
} YolactElementType;

#endif
