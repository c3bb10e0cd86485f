/* Bytes as text, RFC 4648, section 4. */
#ifndef BASE64_H
#define BASE64_H

#include <stddef.h>

/* Decodes a text, which a zero ends, into its own place, and returns how many bytes it was; -1 where it is no base64 of
 * the standard alphabet with its padding. */
long base64_decode(char* text);

#endif
