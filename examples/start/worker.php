<?php

require __DIR__ . '/config.php';
require __DIR__ . '/SendMail.php';                                  // or your autoloader

$worker = new Ferry\Worker([
    'queue' => 'mail',
    'tries' => 2,
    'delay' => 0,                                                   // the default grows: 1, 2, 4, ... 60 s
    'stop_when_empty' => in_array('--drain', $argv, true),          // for this page; a real worker waits for jobs
]);
exit($worker->run());
