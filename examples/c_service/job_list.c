#include "job_list.h"

void push_job(job_list* list, job* work)
{
    work->next = NULL;
    if (list->last)
        list->last->next = work;
    else
        list->first = work;
    list->last = work;
    list->count++;
}

job* pop_job(job_list* list)
{
    job* work = list->first;
    list->first = work->next;
    if (!list->first)
        list->last = NULL;
    list->count--;
    return work;
}

int remove_job(job_list* list, job* work)
{
    job* before = NULL;
    for (job* one = list->first; one; before = one, one = one->next) {
        if (one != work)
            continue;
        *(before ? &before->next : &list->first) = work->next;
        if (list->last == work)
            list->last = before;
        list->count--;
        return 1;
    }
    return 0;
}
