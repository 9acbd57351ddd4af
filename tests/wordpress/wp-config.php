<?php
// The configuration of the tests' site: the database by its socket, and no call to the outside.
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:' . getenv('WP_TEST_SOCKET'));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';
// so that application passwords need no https
define('WP_ENVIRONMENT_TYPE', 'local');
define('WP_HOME', getenv('WP_TEST_HOME'));
define('WP_SITEURL', getenv('WP_TEST_HOME'));
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
foreach (["AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY"] as $key) {
    define($key, 'only for tests');
    define(str_replace("KEY", "SALT", $key), 'only for tests');
}
if (getenv('WP_TEST_PLUGINS')) {
    define('WPMU_PLUGIN_DIR', getenv('WP_TEST_PLUGINS'));
}
if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
// instead of WordPress's own: no mail is sent
function wp_mail() {
    return true;
}
require_once ABSPATH . 'wp-settings.php';
