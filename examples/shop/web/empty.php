<?php

// Does nothing: how long it takes is how long nginx, php-fpm and the machine take.

http_response_code(204);
