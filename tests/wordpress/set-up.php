<?php
// Installs WordPress into its empty database: php set-up.php FOLDER
define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = '127.0.0.1';
$_SERVER['REQUEST_METHOD'] = 'GET';
require $argv[1] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('A site for tests', 'owner', 'owner@example.com', true, '', 'a main password');
update_option('permalink_structure', '/%year%/%postname%/');
global $wp_rewrite;
$wp_rewrite->init();
$wp_rewrite->flush_rules(false);
if (count(get_users()) !== 1) {
    exit(1);
}
