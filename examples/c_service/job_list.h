/* A list of jobs in the order in which they came. */
#ifndef JOB_LIST_H
#define JOB_LIST_H

#include "pipeline.h"

typedef struct job_list {
    job* first;
    job* last;
    size_t count;
} job_list;

void push_job(job_list* list, job* work);

/* Takes out the first job. The list must not be empty. */
job* pop_job(job_list* list);

/* Takes out this job. Returns 0 where it is not in the list. */
int remove_job(job_list* list, job* work);

#endif
