/* store/sqlite/writer.h - the group commit in two files: writer.c has the queue, the thread and the callers,
 * writer_group.c what one group of their jobs does in the database. Private to both; all of writer_group.c runs in the
 * writer's thread. */
#ifndef SQLITE_WRITER_H
#define SQLITE_WRITER_H
#include "store/sqlite/sqlite.h"

struct job {
    struct job *next;
    struct batch *batch; /* or else a claim: */
    const struct claim *claim;
    const struct plan *plan;
    struct arena *arena;
    struct rows *rows;

    size_t weight;
    int64_t deadline;
    struct waiter waiter;
    bool ended; /* its failure is final, whatever becomes of the others */
    bool ok;
    struct err err;
};

struct writer {
    struct sqlite_store *store;
    struct conn *conn;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct job *first, **last;
    size_t bytes; /* of the jobs in the queue */
    bool stop;
    struct signal *room; /* raised when the queue got shorter and somebody waits for that */
    atomic_int waiting;

    unsigned careful;
    uint64_t watched; /* tables that the group inserted into, a bit each */
    int log_pages;    /* in the log */
    int saved_pages;  /* of them in the database file too */
    bool tight;       /* the disk is or was full: there is no reserve */
    bool given;       /* it was given away, to what takes something away */
    bool made_room;   /* for the present group */
    bool renumber;    /* the first group behind a checkpoint: log_check.h */
    int64_t page_size;
    bool started;
};

/* Begins a transaction, waiting while another process holds the write lock (a backup, somebody's sqlite3) and one of
 * the jobs may wait. */
bool writer_begin(struct writer *w, const struct job *jobs, struct err *e);
void writer_rollback(struct writer *w);
/* Applies and commits them; what became of each stands in it. Wakes nobody. */
void writer_run(struct writer *w, struct job *jobs);
size_t writer_wake(struct job *jobs); /* all of them; how many were well */

int writer_count_log(void *arg, sqlite3 *db, const char *name, int pages); /* SQLite's WAL hook, arg a writer */
void writer_checkpoint(struct writer *w, bool restart);
void writer_checkpoint_when_long(struct writer *w);

#ifdef POSTRIDER_FAULTS
bool writer_answers_early(void); /* the control of the crash tests */
void writer_run_early(struct writer *w, struct job *jobs);
#endif
#endif
