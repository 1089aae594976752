/*
 * die.h - how the packer's files end it.
 */
#ifndef DIE_H
#define DIE_H

/* Say "distilsst-pack: ..." on stderr and exit with status 1. */
extern void die(const char *format,...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
