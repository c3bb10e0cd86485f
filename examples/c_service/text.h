/* Text that grows as it is written. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>

typedef struct text {
    char* data;
    size_t size;
    size_t capacity;
    int failed; /* memory ran out: what came after is missing */
} text;

void text_add(text* to, const char* data, size_t size);
void text_format(text* to, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes. `words` is UTF-8. */
void text_quote(text* to, const char* words);

void text_free(text* to);

#endif
