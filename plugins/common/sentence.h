/* The sentences that the check functions of the C interface return. */
#pragma once

#include <cstdarg>
#include <cstdio>

namespace yolact {

/* Text formatted as by printf. It is valid until the same thread calls this again. */
__attribute__((format(printf, 1, 2))) inline const char* sentence(const char* format, ...)
{
    thread_local char text[256];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}

/* NULL where the value is in [least, most], else a sentence that says that `name` is not. */
inline const char* outside(const char* name, int value, int least, int most)
{
    if (value >= least && value <= most) {
        return nullptr;
    }
    return sentence("%s must be %d to %d, got %d", name, least, most, value);
}

/* The same for real numbers. NaN is outside of every range. */
inline const char* outside(const char* name, float value, double least, double most)
{
    if (value >= least && value <= most) {
        return nullptr;
    }
    return sentence("%s must be %g to %g, got %g", name, least, most, static_cast<double>(value));
}

}  // namespace yolact
