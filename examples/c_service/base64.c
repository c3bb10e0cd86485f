#include "base64.h"

#include <string.h>

/* The six bits of a character, -1 for one that has none. */
static int bits_of(char character)
{
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    return character == '+' ? 62 : character == '/' ? 63 : -1;
}

long base64_decode(char* text)
{
    size_t size = strlen(text), padding = 0;
    while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
        padding++;
    if (size % 4 != 0)
        return -1;
    unsigned char* to = (unsigned char*)text;
    unsigned bits = 0;
    for (size_t i = 0; i < size - padding; i++) {
        int more = bits_of(text[i]);
        if (more < 0)
            return -1;
        bits = bits << 6 | (unsigned)more;
        if (i % 4 > 0) /* the first of four characters completes no byte */
            *to++ = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    return to - (unsigned char*)text;
}
