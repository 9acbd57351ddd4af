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
INSERT INTO "api_keys" VALUES('golden','ten_golden','test','profiles:read profiles:write sessions:lease','apikey-f4941b02',X'7676767676767676767676767676767676767676767676767676767676767676',1760000000000000,NULL);
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
INSERT INTO "connect_links" VALUES('link_golden',X'024D7EA610C1F744CBC0D60576D32586CA78CD6F64DE23889B0A1E6513A891F7','token-43718833','ten_golden','golden','prof_empty','bluesky','Golden app','https://app.example.com/done','state','de',1760000000000000,1760003600000000,0,NULL,NULL);
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
INSERT INTO "credentials" VALUES('ten_golden','prof_well','bluesky',5,'seal-713552f5',X'02E516771ED538D3B902698133A36DB3D4280CD4FD56CFFBC14C530BB0A01056DC89E98FB03892CB8E56F64494F3E522496165B496690192893FDE3D86AE3815990DC6D8E49E19879BA59EC57DD57966F74C99895FE99797F4F64DF0DAE3FDDED5B77C3ED3532273E5C1A9F6BB4D2BF08E703594FDB91A72E39A1AEB65513B2DBC82');
INSERT INTO "credentials" VALUES('ten_golden','prof_broken','bluesky',2,'seal-713552f5',X'0219F2E4C218ADAF054A649FB775F78F662D4D9F2C521A6D6454D7B8A7766EB41016BCBCCCDCB6F006C0D969294BCCE93008A5E2692EF61F9C25DBBF5BC0AD0B9324CF9B2BFF6B0B3A3C12E4FA7D1A61E6C404F1565781FA7C35E601C33C928A3530C91E4E01F8E2579EACFAA95CB5A1ECF4951CBAB7797C0580DC88A38F17E2DA3600C8');
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
INSERT INTO "facts" VALUES('canary','seal-713552f5 024cb1899e68645b912213579e9b444fbe455f3caaf80ef078e2c3e1ba9c656d405ef430d791c74be8f6622bfea047ce46d5e93bc4a2696ee131e807138ddec87bc58c58293eb83aa1914ed2e51668fc579bc71e06dcc4dc17515da122678285daa8cdc39c5d51483ad710d76e19b74d1ec7b9bbbd14d6e82fe59fdf86a171f3a0108cdd340b3342347812f8679c7b5d3b28a3326fc0be4c853d635d1fa9de1ca3af1c');
INSERT INTO "facts" VALUES('canary seal-713552f5','25ff13d46578a25435e6c4732951cb7f6fcbdedc32c5a166ef25f7c818208abc');
INSERT INTO "facts" VALUES('canary apikey-f4941b02','e9331d33f4c4bee5e998a926e347310f2e927ac02357cbbd9abcc6b98aaa0f9b');
INSERT INTO "facts" VALUES('canary token-43718833','0fbc01d89163b3bae0cf54d3b52be84ff5c09ebdbbb4af61843726e513cee79f');
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
INSERT INTO "idempotency_records" VALUES('ten_golden','CreateProfile','create','holder','token-43718833',X'E38886C970BD5BC882315ACAE2B2D38E8B3DBEBC6882ED5530CB8A8C51FF9101','prof_empty','["prof_empty", "Empty \u263a"]',1760086400000000);
INSERT INTO "idempotency_records" VALUES('ten_golden','ConnectProfile','connect','holder','token-43718833',X'47C066B1CAC0CE3520E83B9513AC50D501BA3DC8E258C18D2B74D12784828CC9','prof_well','["prof_well", "bluesky", "well.example"]',1760086400000001);
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
INSERT INTO "sessions" VALUES('ten_golden','prof_well','bluesky',5,'seal-713552f5',X'025B5661F547ACE4586639B9B4F4FEA9AE426930C98D4C9316F8FB013BC56766A16575913E3DFF8DF3F7083501F61054091EF4B4B8E44D8923B637618441824E1DF16F4A927EAB64C2083A55F2F8E03B1CCCC95F5655044B11F5725AD3F801772E0B5CBCCF1B25964C0F24516299ED4B52B432ACEC78323CEA5A90C84C88863986C7586CC51D7AA0C1F3E36578097AC8D47AD9E7B4D1FB48B765A93E88387C7E22CEA004ABA3B05B',1760003600000000,1760000000000005,2,0);
INSERT INTO "sessions" VALUES('ten_golden','prof_broken','bluesky',2,'seal-713552f5',X'0293E019A68CBE168C10737D9B7A7A22CCC8F95E4F082EAE890D1AAC2140AC1AA3452652CE62015FEE6C77B10E32311C48BEAC16D51B97F5D8AAE46316CB1099EEF063AD473556884AF333A49804FC7044BF3C9E0A4415FDDF9E8AE74FAFB4E94239D94DA049B2B3E841F65B0696196DFFD7D32C0BB06E842CC27BEBB44D80BC2C2B7AEC85564D40001E3EBFAD318AABCC468D65D0D1B2A351479A205AB5EA92BCB1E1DE239FEDF5D2897784',1760003600000000,1760000000000002,1,0);
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
INSERT INTO "webhook_secrets" VALUES('wh_golden0123456789',1,'seal-713552f5',X'02AB67A49F7A720664D0DBB510A1E812158705E720C10FBEBAF66101BCD3DB8AD39322C1A0651B6841DC73A5548079B0B56330CF9247C6C87F1E3D1A6099876CAB5BAD65801C63B1B4A172D30C9BBF925B41FE2D7ACFD2EB5EFE62190FE889BB3DA44C1DBB1C1564DE4A140CEBEE8133CE336019C55BE2A623',1760000000000035,1760086400000000);
INSERT INTO "webhook_secrets" VALUES('wh_golden0123456789',2,'seal-713552f5',X'025B8649C7217147B24ABBF6AE7BEC684F5F36197F5FBCBA583BCB7887EF1E34850D4526E8981F54A94E43FCF3B4D723DF52C809585B92354C101DDA6E6B6A21130A20D08704E9BE1058C479B47D88D0AF60CDB8FF64B7C802EB77B5D41E5D17E9AE13EED3FDC33E09A85BFE553F258BE5850F8FB647854484',1760000000000040,NULL);
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
CREATE INDEX connections_of_account ON connections (account_id, origin, tenant_id);
CREATE INDEX connections_due_of_tenant ON connections (tenant_id, next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX idempotency_records_by_expiry ON idempotency_records (expires_at);
CREATE INDEX idempotency_records_of_profile ON idempotency_records (tenant_id, profile_key) WHERE profile_key IS NOT NULL;
CREATE INDEX connect_links_of_profile ON connect_links (tenant_id, profile_key) WHERE profile_key IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',1);
COMMIT;
