<?php

namespace Ferry;

/**
 * A marker interface for job objects. Ferry does not require it: any object with `handle()` is a job, as in think-queue.
 */
interface ShouldQueue
{
}
