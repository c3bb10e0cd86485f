#include "json_reader.h"

#include <string.h>

enum { MOST_LEVELS = 16 }; /* of lists in lists, far more than a request has */

static void fail(json_reader* from, const char* expected)
{
    if (!from->expected)
        from->expected = expected;
}

/* The next byte that is no space, 0 at the end. */
static unsigned char next(json_reader* from)
{
    while (from->at < from->end && memchr(" \t\r\n", *from->at, 4))
        from->at++;
    return from->at < from->end ? *from->at : 0;
}

int json_is_list(json_reader* from) { return !from->expected && next(from) == '['; }

void json_enter(json_reader* from, char open)
{
    if (from->expected)
        return;
    if (next(from) == (unsigned char)open)
        from->at++;
    else
        fail(from, open == '[' ? "a list" : "an object");
}

int json_goes_on(json_reader* from, char close, size_t* count)
{
    if (from->expected)
        return 0;
    unsigned char byte = next(from);
    if (byte == (unsigned char)close) {
        from->at++;
        return 0;
    }
    if (*count > 0 && byte != ',') {
        fail(from, close == ']' ? "a comma or ]" : "a comma or }");
        return 0;
    }
    from->at += *count > 0;
    ++*count;
    return 1;
}

/* The four hexadecimal digits at `at`; 0 where they are none, or are four zeros, which no text may hold. */
static unsigned hex_digits(json_reader* from)
{
    static const char digits[] = "0123456789abcdef";
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char byte = from->at < from->end ? *from->at : 0;
        const char* digit = byte ? strchr(digits, byte >= 'A' && byte <= 'F' ? byte + 32 : byte) : NULL;
        if (!digit) {
            fail(from, "a hexadecimal digit");
            return 0;
        }
        value = value * 16 + (unsigned)(digit - digits);
        from->at++;
    }
    if (value == 0)
        fail(from, "a text without zeros");
    return value;
}

/* Writes a code point as UTF-8 and returns its size, which is less than that of its escape. */
static size_t put_character(unsigned char* to, unsigned code)
{
    static const unsigned char starts[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        to[i] = (unsigned char)(0x80 | (code & 0x3f));
    to[0] = (unsigned char)(starts[size] | code);
    return size;
}

/* Decodes the escape whose backslash was read, of at most 4 bytes, and returns its size. */
static size_t put_escape(json_reader* from, unsigned char* to)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    unsigned char letter = from->at < from->end ? *from->at : 0;
    const char* known = letter ? strchr(letters, letter) : NULL;
    if (known) {
        from->at++;
        *to = (unsigned char)meanings[known - letters];
        return 1;
    }
    if (letter != 'u') {
        fail(from, "an escape such as \\n");
        return 0;
    }
    from->at++;
    unsigned code = hex_digits(from);
    if (code >= 0xd800 && code < 0xdc00) {
        unsigned low = 0;
        if (from->end - from->at > 2 && from->at[0] == '\\' && from->at[1] == 'u') {
            from->at += 2;
            low = hex_digits(from);
        }
        if (low < 0xdc00 || low > 0xdfff)
            fail(from, "the second half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low & 0x3ff);
    } else if (code >= 0xdc00 && code < 0xe000) {
        fail(from, "the first half of a surrogate pair");
    }
    return put_character(to, code);
}

/* Reads a text, and where `to` is not NULL, decodes it there. Returns its end. */
static unsigned char* read_text(json_reader* from, unsigned char* to)
{
    unsigned char decoded[4];
    if (next(from) != '"')
        fail(from, "a text in quotes");
    else
        from->at++;
    while (!from->expected) {
        unsigned char byte = from->at < from->end ? *from->at : 0;
        if (byte == '"') {
            from->at++;
            break;
        }
        if (byte < 0x20) {
            fail(from, "a quote at the end of a text");
        } else if (byte == '\\') {
            from->at++;
            size_t size = put_escape(from, decoded);
            if (to)
                to = (unsigned char*)memcpy(to, decoded, size) + size;
        } else {
            from->at++;
            if (to)
                *to++ = byte;
        }
    }
    return to;
}

char* json_text(json_reader* from)
{
    if (from->expected || next(from) != '"') {
        fail(from, "a text in quotes");
        return NULL;
    }
    unsigned char* text = from->at;
    unsigned char* end = read_text(from, text);
    if (from->expected)
        return NULL;
    *end = '\0'; /* the quotes leave room for it */
    return (char*)text;
}

static void read_colon(json_reader* from)
{
    if (from->expected)
        return;
    if (next(from) == ':')
        from->at++;
    else
        fail(from, "a colon");
}

int json_member(json_reader* from, const char* const* names, unsigned* seen)
{
    next(from);
    unsigned char* start = from->at;
    const char* name = from->member = json_text(from);
    read_colon(from);
    for (int i = 0; !from->expected && names[i]; i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        if (*seen >> i & 1) {
            from->at = start;
            fail(from, "each name once");
        }
        *seen |= 1u << i;
        return i;
    }
    return -1;
}

static int is_digit(const json_reader* from) { return from->at < from->end && *from->at >= '0' && *from->at <= '9'; }

uint64_t json_number(json_reader* from)
{
    uint64_t value = 0;
    unsigned char first = from->expected ? 0 : next(from);
    unsigned char* start = from->at;
    while (!from->expected && is_digit(from)) {
        unsigned digit = *from->at++ - '0';
        if (value > (UINT64_MAX - digit) / 10)
            fail(from, "a whole number below 2^64");
        value = value * 10 + digit;
    }
    int goes_on = from->at < from->end && memchr(".eE", *from->at, 3);
    if (from->at == start || goes_on || (first == '0' && from->at - start > 1))
        fail(from, "a whole number");
    return from->expected ? 0 : value;
}

/* Takes the word where it comes next. */
static int take_word(json_reader* from, const char* word)
{
    size_t size = strlen(word);
    next(from);
    if ((size_t)(from->end - from->at) < size || memcmp(from->at, word, size) != 0)
        return 0;
    from->at += size;
    return 1;
}

int json_flag(json_reader* from)
{
    if (from->expected)
        return 0;
    if (take_word(from, "true"))
        return 1;
    if (!take_word(from, "false"))
        fail(from, "true or false");
    return 0;
}

static void skip_digits(json_reader* from)
{
    if (!is_digit(from))
        fail(from, "a digit");
    while (is_digit(from))
        from->at++;
}

static int take_one_of(json_reader* from, const char* bytes)
{
    int is_there = from->at < from->end && *from->at && strchr(bytes, *from->at);
    from->at += is_there;
    return is_there;
}

static void skip_number(json_reader* from)
{
    take_one_of(from, "-");
    if (!take_one_of(from, "0"))
        skip_digits(from);
    if (take_one_of(from, "."))
        skip_digits(from);
    if (take_one_of(from, "eE")) {
        take_one_of(from, "+-");
        skip_digits(from);
    }
}

static void skip(json_reader* from, int levels)
{
    if (from->expected)
        return;
    unsigned char byte = next(from);
    if (byte == '[' || byte == '{') {
        if (levels == 0)
            fail(from, "at most 16 lists and objects in each other");
        json_enter(from, (char)byte);
        for (size_t count = 0; json_goes_on(from, byte == '[' ? ']' : '}', &count); skip(from, levels - 1)) {
            if (byte == '[')
                continue;
            read_text(from, NULL);
            read_colon(from);
        }
    } else if (byte == '"') {
        read_text(from, NULL);
    } else if (byte == '-' || (byte >= '0' && byte <= '9')) {
        skip_number(from);
    } else if (!take_word(from, "true") && !take_word(from, "false") && !take_word(from, "null")) {
        fail(from, "a value");
    }
}

void json_skip(json_reader* from) { skip(from, MOST_LEVELS); }

void json_end(json_reader* from)
{
    if (!from->expected && (next(from), from->at < from->end))
        fail(from, "the end");
}
