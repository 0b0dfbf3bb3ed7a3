<?php

// The daemon: start it under systemd or Supervisor. SIGTERM lets it finish the current job and leave with 0.

require __DIR__ . '/handlers.php';

exit((new Ferry\Worker(['queue' => getenv('FERRY_DEMO_QUEUE'), 'tries' => 3, 'delay' => 1]))->run());
