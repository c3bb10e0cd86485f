/* Text that grows as it is written. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>

typedef struct text {
    char* data;
    size_t size;
    size_t capacity;
    int failed; /* memory ran out, and text added after that is missing */
} text;

void text_add(text* to, const char* data, size_t size);
void text_format(text* to, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* Adds `words`, which are UTF-8, as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD each, control
 * characters are escaped. */
void text_quote(text* to, const char* words);

/* Adds a number of JSON with so many decimals; null where JSON has no such number. */
void text_decimal(text* to, double number, int decimals);

void text_free(text* to);

#endif
