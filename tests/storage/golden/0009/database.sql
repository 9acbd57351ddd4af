BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0009');
CREATE TABLE api_keys (
	key_id TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	scopes TEXT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	verifier BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	revoked_at BIGINT, 
	PRIMARY KEY (key_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "api_keys" VALUES('golden','ten_golden','test','profiles:read profiles:write sessions:lease','apikey-587b2adf',X'7676767676767676767676767676767676767676767676767676767676767676',1760000000000000,NULL);
CREATE TABLE audit (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at BIGINT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	method TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	operator TEXT NOT NULL, 
	peer TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	lent TEXT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	request_id TEXT NOT NULL, 
	left_out BIGINT NOT NULL
);
INSERT INTO "audit" VALUES(1,1760000000000012,'ten_golden','LeaseSession','OK','golden','','','prof_well','bluesky','did:plc:prof_well','SESSION',1760003600000000,'',0);
CREATE TABLE connect_links (
	link_id TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	profile_key TEXT, 
	platform TEXT NOT NULL, 
	app_name TEXT NOT NULL, 
	return_url TEXT NOT NULL, 
	state TEXT NOT NULL, 
	locale TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	tries BIGINT DEFAULT '0' NOT NULL, 
	used_at BIGINT, 
	revoked_at BIGINT, 
	PRIMARY KEY (link_id), 
	FOREIGN KEY(tenant_id, profile_key) REFERENCES profiles (tenant_id, profile_key) ON DELETE CASCADE, 
	UNIQUE (digest), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "connect_links" VALUES('link_golden',X'76040D948B59A82E7DDCA0BABAB554AF6D36E316B175BE0FC882D0691A52CCBF','token-9bbe0697','ten_golden','golden','prof_empty','bluesky','Golden app','https://app.example.com/done','state','de',1760000000000000,1760003600000000,0,NULL,NULL);
CREATE TABLE connections (
	tenant_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	username TEXT NOT NULL, 
	display_name TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	reconnect_reason TEXT, 
	connected_at BIGINT NOT NULL, 
	last_verified_at BIGINT NOT NULL, 
	next_check_at BIGINT, checked_at BIGINT, document_at BIGINT DEFAULT '0' NOT NULL, moved_at BIGINT, doubts BIGINT DEFAULT '0' NOT NULL, refusals BIGINT DEFAULT '0' NOT NULL, login_after BIGINT, profile_created_at BIGINT, rejections BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant_id, profile_key, platform), 
	FOREIGN KEY(tenant_id, profile_key) REFERENCES profiles (tenant_id, profile_key) ON DELETE CASCADE
);
INSERT INTO "connections" VALUES('ten_golden','prof_well','bluesky','did:plc:prof_well','well.example','well.example','https://pds.example',5,'UNVERIFIED',NULL,1760000000000001,1760000000000011,1760003600000000,1760000000000011,1760000000000000,NULL,1,2,1760003600000000,1760000000000001,0);
INSERT INTO "connections" VALUES('ten_golden','prof_broken','bluesky','did:plc:prof_broken','renamed.example','renamed.example','https://pds.example',2,'BROKEN','APP_PASSWORD_REVOKED',1760000000000002,1760000000000011,1760003600000000,1760000000000011,1760000000000000,NULL,1,2,1760003600000000,1760000000000002,0);
CREATE TABLE credentials (
	tenant_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	PRIMARY KEY (tenant_id, profile_key, platform), 
	FOREIGN KEY(tenant_id, profile_key, platform) REFERENCES connections (tenant_id, profile_key, platform) ON DELETE CASCADE
);
INSERT INTO "credentials" VALUES('ten_golden','prof_well','bluesky',5,'seal-2cf0c2de',X'0231E1B91CD7EBC18637A18B81ED4FF50AED86D2C5962A453291CE457DB49B4863C6F4408A14AA9E878366F074D73AE203CD7E88409CB0FD01502653655E664A5E4811BE3639B8F07E46CE90F39AF215ED729F0AA7CB8D6569FD39E9E5526F12D6D7C802AA645BCC6E525FFF9F0051236082221097925AC685BA02D19D6CFC3D9EC1');
INSERT INTO "credentials" VALUES('ten_golden','prof_broken','bluesky',2,'seal-2cf0c2de',X'026E71F26C5DA6F1644E0F9C3B2902F232C1C6AB0FABA478AB1098088FAE28D7F30F60ACF8A4CEB896EF16FAD58420B9B6E06C6E4A862388792449A6708ED5CF2E89D196EFD1E168444236D0274FBDA53B267118FC4C13D1B7A51AEC102082CDF17156A777EFCF2FE0C7F98A2F3F844FA7A04B9B02522040F2B21BD9757D43C24AE09847');
CREATE TABLE event_marks (
	tenant_id TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (tenant_id, number), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
INSERT INTO "event_marks" VALUES('ten_golden',10,1760000000000030);
CREATE TABLE events (
	tenant_id TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	connection TEXT, 
	occurred_at BIGINT, 
	PRIMARY KEY (tenant_id, number), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "events" VALUES('ten_golden',1,'CONNECTED','prof_well','{"platform": "bluesky", "account_id": "did:plc:prof_well", "username": "well.example", "display_name": "well.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000001, "last_verified_at": 1760000000000001, "next_check_at": 1760021600000000}',1760000000000001);
INSERT INTO "events" VALUES('ten_golden',2,'CONNECTED','prof_broken','{"platform": "bluesky", "account_id": "did:plc:prof_broken", "username": "broken.example", "display_name": "broken.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000002, "last_verified_at": 1760000000000002, "next_check_at": 1760021600000000}',1760000000000002);
INSERT INTO "events" VALUES('ten_golden',3,'CONNECTED','prof_ended','{"platform": "bluesky", "account_id": "did:plc:prof_ended", "username": "ended.example", "display_name": "ended.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000003, "last_verified_at": 1760000000000003, "next_check_at": 1760021600000000}',1760000000000003);
INSERT INTO "events" VALUES('ten_golden',4,'CONNECTED','prof_gone',NULL,NULL);
INSERT INTO "events" VALUES('ten_golden',5,'RECONNECTED','prof_well','{"platform": "bluesky", "account_id": "did:plc:prof_well", "username": "well.example", "display_name": "well.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000001, "last_verified_at": 1760000000000005, "next_check_at": 1760021600000000}',1760000000000005);
INSERT INTO "events" VALUES('ten_golden',6,'BROKEN','prof_broken','{"platform": "bluesky", "account_id": "did:plc:prof_broken", "username": "renamed.example", "display_name": "renamed.example", "state": "BROKEN", "reconnect_reason": "APP_PASSWORD_REVOKED", "connected_at": 1760000000000002, "last_verified_at": 1760000000000011, "next_check_at": 1760003600000000}',1760000000000011);
INSERT INTO "events" VALUES('ten_golden',7,'HANDLE_CHANGED','prof_broken','{"platform": "bluesky", "account_id": "did:plc:prof_broken", "username": "renamed.example", "display_name": "renamed.example", "state": "BROKEN", "reconnect_reason": "APP_PASSWORD_REVOKED", "connected_at": 1760000000000002, "last_verified_at": 1760000000000011, "next_check_at": 1760003600000000}',1760000000000011);
INSERT INTO "events" VALUES('ten_golden',8,'UNVERIFIED','prof_well','{"platform": "bluesky", "account_id": "did:plc:prof_well", "username": "well.example", "display_name": "well.example", "state": "UNVERIFIED", "reconnect_reason": null, "connected_at": 1760000000000001, "last_verified_at": 1760000000000011, "next_check_at": 1760003600000000}',1760000000000011);
INSERT INTO "events" VALUES('ten_golden',9,'DISCONNECTED','prof_ended','{"platform": "bluesky", "account_id": "did:plc:prof_ended", "username": "ended.example", "display_name": "ended.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000003, "last_verified_at": 1760000000000003, "next_check_at": 1760021600000000}',1760000000000020);
INSERT INTO "events" VALUES('ten_golden',10,'DISCONNECTED','prof_gone',NULL,NULL);
CREATE TABLE facts (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('canary','seal-2cf0c2de 0216ba912f32e0ca1f9d803199804af78f0e163040091c62febb8ea1421ab9966120d8aa7c177d55ea23f08826470ff67193fa7ada3e63a6c38e4c18f455f9edd95a2f95e24c19c9f158ddde6f39d0c0974fa5a2cdefc082340c05534a73daec9760c22222053ad9c55144005fed5619cd5be5fd52e7dc339cef63829260f14751f14550a23f55563df006d53164aa1fdb6dfd14e052f6a3406c7aa666e8d605b6f314');
INSERT INTO "facts" VALUES('canary seal-2cf0c2de','d8a5d6bfc4e19587ba2e853d9a32177e26fac7983c012b59ea3c5eb45b0fd9fd');
INSERT INTO "facts" VALUES('canary apikey-587b2adf','611e609d2885106b00d272293b991f2d1e7bf413adba09897ac8fd1e0333a6b2');
INSERT INTO "facts" VALUES('canary token-9bbe0697','92d1b68b16de91af6acce8b70ff77a2cb5d2bc599ef3bc1c791eb24b5cefd6f7');
INSERT INTO "facts" VALUES('mode','live');
CREATE TABLE idempotency_records (
	tenant_id TEXT NOT NULL, 
	method TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	profile_key TEXT, 
	reply TEXT, 
	expires_at BIGINT NOT NULL, 
	PRIMARY KEY (tenant_id, method, idempotency_key), 
	FOREIGN KEY(tenant_id, profile_key) REFERENCES profiles (tenant_id, profile_key) ON DELETE CASCADE
);
INSERT INTO "idempotency_records" VALUES('ten_golden','CreateProfile','create','holder','token-9bbe0697',X'814390F461A39EEABC38D462FDDE4C3F90BF8F5DD19B04BEE7D285DF4F7DECCD','prof_empty','["prof_empty", "Empty \u263a"]',1760086400000000);
INSERT INTO "idempotency_records" VALUES('ten_golden','ConnectProfile','connect','holder','token-9bbe0697',X'2E6B69B8FEDE485CA96A84A44CE8F5357BB0FF81BBB2307B8809C1EC814DD3FC','prof_well','["prof_well", "bluesky", "well.example"]',1760086400000001);
CREATE TABLE login_debits (
	account_id TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	at BIGINT NOT NULL
);
INSERT INTO "login_debits" VALUES('did:plc:prof_well','https://pds.example','ten_golden','connect',1760000000000000);
CREATE TABLE login_pauses (
	account_id TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	until BIGINT NOT NULL, 
	PRIMARY KEY (account_id, origin)
);
INSERT INTO "login_pauses" VALUES('did:plc:prof_broken','https://pds.example',1760003600000000);
CREATE TABLE profiles (
	profile_key TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	profile_name TEXT, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (profile_key), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "profiles" VALUES('prof_empty','ten_golden','Empty ☺',1760000000000000);
INSERT INTO "profiles" VALUES('prof_well','ten_golden',NULL,1760000000000001);
INSERT INTO "profiles" VALUES('prof_broken','ten_golden',NULL,1760000000000002);
INSERT INTO "profiles" VALUES('prof_ended','ten_golden',NULL,1760000000000003);
CREATE TABLE sessions (
	tenant_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	expires_at BIGINT NOT NULL, refreshed_at BIGINT DEFAULT '0' NOT NULL, fence BIGINT DEFAULT '0' NOT NULL, claimed_until BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant_id, profile_key, platform), 
	FOREIGN KEY(tenant_id, profile_key, platform) REFERENCES connections (tenant_id, profile_key, platform) ON DELETE CASCADE
);
INSERT INTO "sessions" VALUES('ten_golden','prof_well','bluesky',5,'seal-2cf0c2de',X'026BF547EB3E88840079B42540281E399EE55E20C2F9CE428CAB51E544048F3AEE6A329C1A2E01708DF258C16D9F7F9BFE2EC93A6AC3302EBBA214A6A169794C13BE4C6F5E7713EAF2639DC42A09A31704E6A86F7C3DB5C737AF684CF85538E7F9193DFEC6F659EB79CC97301A7EF26BA8739A4B51F7D396D0241631A87A900D0BF3A3918EA21795DE368FD9638D6613473D46FBE9F89D11D5AFB8B43F96DB16901A9693AF320908',1760003600000000,1760000000000005,2,0);
INSERT INTO "sessions" VALUES('ten_golden','prof_broken','bluesky',2,'seal-2cf0c2de',X'020FD66730BB66D570A865E867624341DC53ACEF30C287F249BFBCD7A7E02672A33EB9C207965145F05F05CEB4B3AF268154F3311BAB485AB2738B8200BF46783D3BA0B342C4ECB839564AE44EEE24CEBA630AE7AD3920BDA50910740883B3048AE3A268923CD89B53893A009590081FC439602903EF8A2E070AE521AD8D52B01FD5EE71F60034871142E57E916B7DB36826E161BEE520FFA779363D8F40CC06E128C670E66C8FAABC5074F0',1760003600000000,1760000000000002,1,0);
CREATE TABLE tenant_pages (
	tenant_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	logo TEXT NOT NULL, 
	colour TEXT NOT NULL, 
	origins TEXT NOT NULL, 
	PRIMARY KEY (tenant_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "tenant_pages" VALUES('ten_golden','Golden','','#0a66c2','https://app.example.com');
CREATE TABLE tenants (
	tenant_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	last_event BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant_id)
);
INSERT INTO "tenants" VALUES('ten_golden','golden',1760000000000000,10);
CREATE TABLE webhook_deliveries (
	webhook_id TEXT NOT NULL, 
	message_id TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	profile_key TEXT NOT NULL, 
	event_type TEXT NOT NULL, 
	body TEXT, 
	attempts BIGINT NOT NULL, 
	first_at BIGINT, 
	next_at BIGINT NOT NULL, 
	cause TEXT NOT NULL, 
	http_status BIGINT NOT NULL, 
	failed_at BIGINT, 
	PRIMARY KEY (webhook_id, message_id), 
	FOREIGN KEY(webhook_id) REFERENCES webhooks (webhook_id) ON DELETE CASCADE
);
INSERT INTO "webhook_deliveries" VALUES('wh_golden0123456789','msg_golden0123456789_1',1,'prof_well','connection.connected',NULL,1,1760000000000055,1760003600000000,'HTTP_STATUS',500,NULL);
INSERT INTO "webhook_deliveries" VALUES('wh_golden0123456789','msg_golden0123456789_2',2,'prof_well','connection.connected',NULL,1,1760000000000055,1760003600000000,'HTTP_STATUS',500,1760000000000055);
CREATE TABLE webhook_secrets (
	webhook_id TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT, 
	PRIMARY KEY (webhook_id, generation), 
	FOREIGN KEY(webhook_id) REFERENCES webhooks (webhook_id) ON DELETE CASCADE
);
INSERT INTO "webhook_secrets" VALUES('wh_golden0123456789',1,'seal-2cf0c2de',X'0253D3C6F25367DB714977F7C9BFE164651A7D74388909C05A40B5D2C0C5AAFDDC0834A51E67ED587CAC3666CBDDBBF1A7AD1D8EB5D8029CBABE2240701ED7379FD865DB8B3E1A3E7E440D8250BD33A90A195B9D1F6AADAD813391F700DFB9F37293430A8173051924DD6554585DA849423B49E064EC10F26D',1760000000000035,1760086400000000);
INSERT INTO "webhook_secrets" VALUES('wh_golden0123456789',2,'seal-2cf0c2de',X'02F4F24C61A971DC67557D995B4F1F6C72736070A74DB044E0C2E556F5ED7366AF0862E70658D815FFD09614D6EC0848BBAD73820FBD1312A340855A8E926F53CE7178175C3F7B6FD8CDD96748664C724C8B932C43675F78E669DA9D653A02E86C30A8C5F262470253DC6B5915E3BF09813B29680BACB1ABF2',1760000000000040,NULL);
CREATE TABLE webhooks (
	webhook_id TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	url TEXT NOT NULL, 
	event_types TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	position BIGINT NOT NULL, 
	disabled_reason TEXT, 
	failures BIGINT DEFAULT '0' NOT NULL, 
	failing_since BIGINT, 
	resume_at BIGINT DEFAULT '0' NOT NULL, 
	fence BIGINT DEFAULT '0' NOT NULL, 
	claimed_until BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (webhook_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
INSERT INTO "webhooks" VALUES('wh_golden0123456789','ten_golden','https://hooks.example/in','connection.broken',1760000000000035,10,NULL,2,1760000000000055,1760000000000055,1,1760000000000055);
CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, created_at, key_id);
CREATE UNIQUE INDEX profiles_of_tenant_by_key ON profiles (tenant_id, profile_key);
CREATE INDEX profiles_in_order ON profiles (tenant_id, created_at, profile_key);
CREATE INDEX credentials_by_keyring_key ON credentials (ring_key_id);
CREATE INDEX sessions_by_keyring_key ON sessions (ring_key_id);
CREATE INDEX idempotency_records_by_expiry ON idempotency_records (tenant_id, expires_at);
CREATE INDEX idempotency_records_of_profile ON idempotency_records (tenant_id, profile_key);
CREATE INDEX events_of_profile ON events (tenant_id, profile_key);
CREATE INDEX login_debits_of_account ON login_debits (account_id, origin, at);
CREATE INDEX login_debits_by_age ON login_debits (at);
CREATE INDEX login_pauses_by_end ON login_pauses (until);
CREATE INDEX connections_due ON connections (next_check_at);
CREATE INDEX event_marks_by_age ON event_marks (at);
CREATE INDEX connections_to_reconnect ON connections (tenant_id, profile_created_at, profile_key) WHERE reconnect_reason IS NOT NULL;
CREATE INDEX audit_by_age ON audit (at);
CREATE INDEX audit_of_tenant ON audit (tenant_id, at);
CREATE INDEX webhooks_of_tenant ON webhooks (tenant_id, created_at, webhook_id);
CREATE INDEX webhook_secrets_by_keyring_key ON webhook_secrets (ring_key_id);
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook_id, next_at) WHERE failed_at IS NULL;
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (webhook_id, failed_at, message_id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (failed_at);
CREATE INDEX connect_links_by_expiry ON connect_links (expires_at);
CREATE INDEX connect_links_of_profile ON connect_links (tenant_id, profile_key);
CREATE INDEX connections_of_account ON connections (account_id, origin, tenant_id);
CREATE INDEX connections_due_of_tenant ON connections (tenant_id, next_check_at) WHERE next_check_at IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',1);
COMMIT;
