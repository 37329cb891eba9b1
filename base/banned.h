/* base/banned.h - functions nobody calls here: they overrun, hide errors or keep hidden state.
 * Included before everything by the build. What to use instead stands behind each. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok strncpy strncat /* struct buf, arena_printf */
#pragma GCC poison atoi atol atoll                                            /* bytes_to_int */
#pragma GCC poison asctime ctime localtime gmtime                             /* base/clock.h */
#endif
