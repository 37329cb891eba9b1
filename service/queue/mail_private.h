/* service/queue/mail_private.h - the mail half's own state, between mail_start and mail_stop. */
#ifndef SERVICE_MAIL_PRIVATE_H
#define SERVICE_MAIL_PRIVATE_H
struct signal;
struct mail {
    struct signal *poked; /* something may be due */
};
#endif
