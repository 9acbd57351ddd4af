<?php
// For PHP's own server: files as they are, everything else to WordPress.
$root = $_SERVER['DOCUMENT_ROOT'];
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$prefix = getenv('WP_TEST_FOLDER');
if ($prefix && strncmp("$path/", "$prefix/", strlen($prefix) + 1) !== 0) {
    http_response_code(404);
    echo '<!doctype html><title>Not Found</title>';
    return true;
}
$below = substr($path, strlen((string) $prefix));
$file = realpath($root . $below);
if (!$prefix && $file && is_file($file) && substr($file, -4) !== '.php') {
    return false;
}
if ($below !== '/index.php' && substr($below, -4) === '.php' && $file) {
    $_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = $prefix . $below;
    require $file;
    return true;
}
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = "$prefix/index.php";
$_SERVER['SCRIPT_FILENAME'] = "$root/index.php";
require "$root/index.php";
