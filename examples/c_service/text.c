#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `more` bytes and a zero. Returns 0 where memory is short. */
static int reserve(text* to, size_t more)
{
    if (to->failed)
        return 0;
    if (to->capacity - to->size > more)
        return 1;
    size_t capacity = 2 * to->capacity + more + 256;
    char* data = realloc(to->data, capacity);
    to->failed = !data;
    if (data) {
        to->data = data;
        to->capacity = capacity;
    }
    return data != NULL;
}

void text_add(text* to, const char* data, size_t size)
{
    if (!reserve(to, size))
        return;
    memcpy(to->data + to->size, data, size);
    to->size += size;
    to->data[to->size] = '\0';
}

void text_format(text* to, const char* format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0 || !reserve(to, (size_t)size))
        return;
    va_start(arguments, format);
    vsnprintf(to->data + to->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    to->size += (size_t)size;
}

/* How many bytes the UTF-8 character has that begins here, 0 where none does: one that is cut off, longer than it has
 * to be, half of a surrogate pair or beyond U+10FFFF. */
static size_t character_size(const unsigned char* c)
{
    if (c[0] < 0x80)
        return 1;
    size_t size = c[0] >= 0xc2 && c[0] <= 0xdf ? 2 : (c[0] & 0xf0) == 0xe0 ? 3 : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4 : 0;
    for (size_t i = 1; i < size; i++)
        if ((c[i] & 0xc0) != 0x80) /* also the zero at the end */
            return 0;
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
        (c[0] == 0xf4 && c[1] > 0x8f))
        return 0;
    return size;
}

void text_quote(text* to, const char* words)
{
    text_add(to, "\"", 1);
    while (*words) {
        size_t size = character_size((const unsigned char*)words);
        if (*words == '"' || *words == '\\')
            text_add(to, "\\", 1);
        if ((unsigned char)*words < 0x20 || *words == 0x7f)
            text_format(to, "\\u%04x", (unsigned)*words);
        else if (size == 0)
            text_format(to, "\\ufffd");
        else
            text_add(to, words, size);
        words += size ? size : 1;
    }
    text_add(to, "\"", 1);
}

void text_decimal(text* to, double number, int decimals)
{
    if (isfinite(number))
        text_format(to, "%.*f", decimals, number);
    else
        text_format(to, "null");
}

void text_free(text* to)
{
    free(to->data);
    *to = (text){0};
}
