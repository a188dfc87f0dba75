<?php
// Says who answers, and behind which server.
echo "php ", PHP_MAJOR_VERSION, " by ", PHP_SAPI, "\n";
