/* Jobs in the order they came. */
#ifndef JOB_LIST_H
#define JOB_LIST_H

#include "pipeline.h"

typedef struct job_list {
    job* first;
    job* last;
    size_t count;
} job_list;

void push_job(job_list* list, job* work);

/* The first one, of a list that is not empty. */
job* pop_job(job_list* list);

/* Takes a job out; 0 where it is not in the list. */
int remove_job(job_list* list, job* work);

#endif
