/* tests/store/folder.h - a folder of its own for a test program, gone when it ends. */
#ifndef TESTS_STORE_FOLDER_H
#define TESTS_STORE_FOLDER_H
#include <stddef.h>

const char *folder(void);                  /* made at the first call */
const char *folder_path(const char *name); /* in a static buffer of its own for each of the last 8 calls */
void folder_empty(void);
void folder_fresh(char *url, size_t n); /* empties it; url is that of the database test.db in it */
void folder_remove(void);
#endif
