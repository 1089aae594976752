/*
 * sanitized.h - what ASan has to know of a test program.
 */
#ifndef SANITIZED_H
#define SANITIZED_H

/* gcc 14 aligns what ASan watches for use after return to less than a vector needs (gcc bug 110027). */
extern const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
    return "detect_stack_use_after_return=0";
}

#endif
