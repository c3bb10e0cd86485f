#include "text.h"

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

void text_quote(text* to, const char* words)
{
    text_add(to, "\"", 1);
    for (const char* c = words; *c; c++) {
        if (*c == '"' || *c == '\\')
            text_add(to, "\\", 1);
        if ((unsigned char)*c < 0x20)
            text_format(to, "\\u%04x", (unsigned)*c);
        else
            text_add(to, c, 1);
    }
    text_add(to, "\"", 1);
}

void text_free(text* to)
{
    free(to->data);
    *to = (text){0};
}
