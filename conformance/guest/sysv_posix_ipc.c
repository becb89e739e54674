// subject: System V shared memory, semaphores and queues, where the host has them
#include "t.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
int main(void) {
    int m = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
    IS(m >= 0);
    char *a = shmat(m, NULL, 0);
    IS(a != (void *)-1);
    if (a != (void *)-1) {
        CHILD("child", strcpy(a, "shared"));
        puts(a);
        struct shmid_ds d;
        T(shmctl(m, IPC_STAT, &d));
        IS(d.shm_segsz == 8192 && d.shm_perm.uid == getuid() && d.shm_cpid == getpid());
        T(shmctl(m, IPC_RMID, NULL));
        T(shmdt(a));
    }
    T(shmget(0x12345, 10, 0));
    int s = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
    IS(s >= 0);
    if (s >= 0) {
        T(semctl(s, 0, SETVAL, 1));
        struct sembuf o = {0, -1, IPC_NOWAIT};
        T(semop(s, &o, 1));
        T(semop(s, &o, 1));
        pid_t c = fork();
        if (c == 0) {
            struct sembuf w = {0, -1, 0};
            _exit(semop(s, &w, 1) ? 1 : 0);
        }
        msleep(20);
        o.sem_op = 1;
        T(semop(s, &o, 1));
        reap("waiter", c);
        T(semctl(s, 0, IPC_RMID));
    }
    int q = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    IS(q >= 0);
    if (q >= 0) {
        struct { long t; char b[16]; } g = {3, "message"};
        T(msgsnd(q, &g, 8, 0));
        T(msgrcv(q, &g, 16, 5, IPC_NOWAIT));
        T(msgrcv(q, &g, 16, 0, 0));
        printf("%ld %s\n", g.t, g.b);
        T(msgctl(q, IPC_RMID, NULL));
    }
    return 0;
}
