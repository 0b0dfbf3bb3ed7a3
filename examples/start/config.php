<?php

Ferry\Queue::configure('sqlite:' . __DIR__ . '/jobs.sqlite');      // or 'redis://127.0.0.1:6379'
