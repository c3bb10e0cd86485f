/* Reads JSON (RFC 8259) piece by piece, as the caller asks for it. Nothing is allocated: texts are decoded where they
 * lie, so a request takes no more memory than its bytes. */
#ifndef JSON_READER_H
#define JSON_READER_H

#include <stddef.h>
#include <stdint.h>

typedef struct json_reader {
    unsigned char *start, *at, *end;
    const char* member;   /* the name of the last member of an object */
    const char* expected; /* what `at` should have had; NULL while all is well. From then on all calls do nothing. */
} json_reader;

/* Whether the next value is a list. */
int json_is_list(json_reader* from);

/* Enters a list, '[', or an object, '{'. */
void json_enter(json_reader* from, char open);

/* Whether the list or object, which `close` ends, goes on. `count` begins with 0 and becomes the number of the element
 * that comes, from 1. */
int json_goes_on(json_reader* from, char close, size_t* count);

/* The next text, ended by a zero, which it does not hold itself. NULL where there is none. */
char* json_text(json_reader* from);

/* The name of the next member of an object: its index among `names`, which a NULL ends, or -1 for any other. `seen` has
 * a bit for each of them and begins with 0: a name that is there twice is a fault, as readers disagree about which one
 * counts. */
int json_member(json_reader* from, const char* const* names, unsigned* seen);

/* The next whole number without a sign, 0 where there is none. */
uint64_t json_number(json_reader* from);

/* The next truth value. */
int json_flag(json_reader* from);

/* Reads over the next value, of any kind, and checks that it is one. */
void json_skip(json_reader* from);

/* Demands that nothing but spaces is left. */
void json_end(json_reader* from);

#endif
