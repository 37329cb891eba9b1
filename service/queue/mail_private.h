/* service/queue/mail_private.h - what the files of the queue share in memory, between due_start and due_stop. */
#ifndef SERVICE_MAIL_PRIVATE_H
#define SERVICE_MAIL_PRIVATE_H
struct signal;
struct mail {
    struct signal *poked;   /* something may be due */
    struct signal *imports; /* a suppression_import, too */
};
#endif
