<?php

namespace Ferry;

/**
 * A marker that job objects may carry. Ferry does not ask for it: any object with `handle()` is a job, as in think-queue.
 */
interface ShouldQueue
{
}
