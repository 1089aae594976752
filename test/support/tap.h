/*
 * tap.h - the results of a test program, in TAP.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stdio.h>

static int  tests;
static int  failures;

static void
ok(bool passed, const char *name)
{
    tests++;
    failures += !passed;
    printf("%s %d - %s\n", passed ? "ok" : "not ok", tests, name);
}

#endif
