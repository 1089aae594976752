/*
 * tiles.h - the instructions of AMX that amxint8.c uses; tiles are literal numbers, 0 to 7.
 *
 * Compilers' own functions for them do not say what memory is read, and so stores before them may be dropped or moved.
 * test/support/emulated_amx.c has the same names in plain C.
 */
#ifndef TILES_H
#define TILES_H

#define tile_configure(shapes) __asm__ volatile("ldtilecfg %0" : : "m"(*(shapes)))
#define tile_release() __asm__ volatile("tilerelease")
#define tile_zero(t) __asm__ volatile("tilezero %%tmm" #t : : )
#define tile_load(t, from, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"(from), "r"((size_t) (stride)) : "memory")
#define tile_store(t, to, stride) \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" : : "r"(to), "r"((size_t) (stride)) : "memory")

/* To each row and column's sum of tile s, the products of the row's bytes, unsigned, in x, and the column's, signed, in w. */
#define tile_add_products(s, x, w) __asm__ volatile("tdpbusd %%tmm" #w ", %%tmm" #x ", %%tmm" #s : : )

#endif
