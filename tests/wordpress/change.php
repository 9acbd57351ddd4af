<?php
// Does what people do in the dashboard: php change.php SITE NAME ARGUMENT… ; prints JSON.
$_SERVER['HTTP_HOST'] = '127.0.0.1';
$_SERVER['REQUEST_METHOD'] = 'GET';
[, $site, $name] = $argv;
$given = array_slice($argv, 3);
require "$site/wp-load.php";
require_once ABSPATH . 'wp-admin/includes/user.php';

function id_of(string $login): int {
    return get_user_by('login', $login)->ID;
}

$changes = [
    'create' => function (string $login, string $role, string $password) {
        $id = wp_insert_user([
            'user_login' => $login, 'user_pass' => $password, 'role' => $role,
            'user_email' => "$login@example.com", 'display_name' => ucfirst($login),
        ]);
        return ['id' => $id];
    },
    'mint' => function (string $login, string $name) {
        [$password, $item] = WP_Application_Passwords::create_new_application_password(
            id_of($login), ['name' => $name]
        );
        return ['password' => WP_Application_Passwords::chunk_password($password), 'uuid' => $item['uuid']];
    },
    'list' => function (string $login) {
        return array_column(
            WP_Application_Passwords::get_user_application_passwords(id_of($login)), 'name', 'uuid'
        );
    },
    'revoke' => function (string $login, string $uuid) {
        return WP_Application_Passwords::delete_application_password(id_of($login), $uuid);
    },
    'revoke-all' => function (string $login) {
        return WP_Application_Passwords::delete_all_application_passwords(id_of($login));
    },
    'age' => function (string $login, string $uuid, string $seconds) {
        $items = WP_Application_Passwords::get_user_application_passwords(id_of($login));
        foreach ($items as &$item) {
            $item['created'] -= $item['uuid'] === $uuid ? (int) $seconds : 0;
        }
        return update_user_meta(
            id_of($login), WP_Application_Passwords::USERMETA_KEY_APPLICATION_PASSWORDS, $items
        );
    },
    'role' => function (string $login, string $role) {
        get_user_by('login', $login)->set_role($role);
        return true;
    },
    'password' => function (string $login, string $password) {
        wp_set_password($password, id_of($login));
        return true;
    },
    'delete' => function (string $login) {
        return wp_delete_user(id_of($login));
    },
    'permalinks' => function (string $structure) {
        update_option('permalink_structure', $structure);
        global $wp_rewrite;
        $wp_rewrite->init();
        $wp_rewrite->flush_rules(false);
        return true;
    },
    'posts' => function (string $login) {
        $posts = get_posts(['author' => id_of($login), 'numberposts' => -1]);
        return array_column($posts, 'post_title');
    },
];
echo "\n", json_encode($changes[$name](...$given)), "\n";
