BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0007');
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
INSERT INTO "api_keys" VALUES('golden','ten_golden','test','profiles:read profiles:write sessions:lease','apikey-8042f176',X'7676767676767676767676767676767676767676767676767676767676767676',1760000000000000,NULL);
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
INSERT INTO "credentials" VALUES('ten_golden','prof_well','bluesky',5,'seal-f8d34308',X'02C0051760F5059AABBDF70435795717745919F43B909C8133CFC937B94CA4B8C5E5E861608B3401D4C68D4B56F3BB6FB388FCA97C11B6FB82C9F92AAC349362D768B9EDB8765677A49B3B13DA09A8C40A5DECAE2E35B17ECC9B9010414B2B05A9B1C1F728780C3795838A50CE1252D1E261E9CA43A7551EAAD2985215FA76DDA66B');
INSERT INTO "credentials" VALUES('ten_golden','prof_broken','bluesky',2,'seal-f8d34308',X'0242A44514243B9D76A6ED5D2334EC00C25144EC0F66F891F76551AD30D70023342D89C19154ACCE1D004C0356294DA06B0A2D06B97683D3A7C37EFE7E2B07B1DD9BD34EB309E0869BBE50E8EBED2366ACE8860A5FB1AB50BD08BBAE30C706A4AA334BD2608685ACD8B3317A5A156CE7762D2ED4DFB07F0A03B324AF242FECFBB0A4CB1F');
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
INSERT INTO "facts" VALUES('canary','seal-f8d34308 0212c4f35c497cd9fccfab7384d4f560003664015fdf25d91201c1dc29e048ceadd219b091467cc7b6eaad7fa94c66407e1739735f1e6ea846bc8bdac6928dc15ffc123a6c506b3d64801daf8f7f47df5460caf438c1c47938b0c6285cea0b0ca363d7bf0b016dab1e0e681537f22535c0a361487758ad3ecfb3c4dc172c4c988e44b2b9668b0adec095874e1ec2fb70f0268a50a0e0a1b0fc54ec7bcc25f2acac391f');
INSERT INTO "facts" VALUES('canary seal-f8d34308','61bd0765bc8385afd05e5ceb071e5e57ac94a8e67738123db51a15c152c92284');
INSERT INTO "facts" VALUES('canary apikey-8042f176','e3e86e4aa71580ecc7b13fffff34f1a06a621aa9307fa81bfc1d6c325c96df4c');
INSERT INTO "facts" VALUES('canary token-ef201b73','03fc742f603c3d5ce2a8a086631e14c1796edcdbc31c9d1ff8d3c56fb96b2a08');
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
INSERT INTO "idempotency_records" VALUES('ten_golden','CreateProfile','create','holder','token-ef201b73',X'2DCA8B4FD7EE07E22021DA361D64D82BF1F59F8CD9E2409B8325E3C2EA3AC22A','prof_empty','["prof_empty", "Empty \u263a"]',1760086400000000);
INSERT INTO "idempotency_records" VALUES('ten_golden','ConnectProfile','connect','holder','token-ef201b73',X'12C65F331F02DA9A66E91482282D9D6DF0A3DE06D01BECA3282B4DF87A1B68A7','prof_well','["prof_well", "bluesky", "well.example"]',1760086400000001);
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
INSERT INTO "sessions" VALUES('ten_golden','prof_well','bluesky',5,'seal-f8d34308',X'02305BB6A96119164B0DFA4EA7F7D4699A7A1C8F66E6BFC7B5A6C641ABF70C4EB46DA34BBBE0FAA70F8EB5900B65CAE80B6F36F61BC9573AFF5721AE1B48F327C5A1F81F38C9446F10AFBAFC6595448AEC34E3FDC2CD8E8F6D04B7E7EA18A2E45191D48E01E85E59B179A3C425320D14C3A777A1C76CF5031F356E83B865274038A91AD63638F5BD7F53B1C8AF86DAF11C3602F745474CBFD3FF2D7C4E9362001AF6FA2D4713188F',1760003600000000,1760000000000005,2,0);
INSERT INTO "sessions" VALUES('ten_golden','prof_broken','bluesky',2,'seal-f8d34308',X'0254F6DAF9EE512B78E972A158240C97FB32A675511EE1AEDD2B9BED4D77445F489C2B542A54A19A0AC04660E5BF2D18C3F46C3277DE3150D3B4C028C96D5FDC8209D93FEF31C0DD39DBA3F922C2D527CEFBB4F0129C7AE1DF1E2217755A706B49F88F8A0A06ECDE5B8FDEA5DB16F018ADB2579F51714A491C320A185F8B7CDD74449A6530DDA9D16B90168E76D87E4C707CD167B9AB447DEBFFEE2A2DC5A741145009131901FC2CDB79A26A',1760003600000000,1760000000000002,1,0);
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
INSERT INTO "webhook_secrets" VALUES('wh_golden0123456789',1,'seal-f8d34308',X'0249F3EC749DA039C6EF833DCA7BEC71C145F072BE801AAEA2212BD0D53F600854918C6F19A328ADD8248AE68DF0561E2C828B889B931639ED35986F59D3813A514ADEAD28C6DCCE93932784AE39415183E9E076E43349EE4D0813A42B299C37695629859783FE3FD4A4AA424B9308A778E3611C5975EC0A81',1760000000000035,1760086400000000);
INSERT INTO "webhook_secrets" VALUES('wh_golden0123456789',2,'seal-f8d34308',X'02415652385A241465C3A08741B93A5F7E00247692245B896137F44EBC010106F352BF0B673B1925183F924388CAA9AE952318CD11AB8DB19CC0E97FF9FFE0E82A2A23A0548E9E986C1C35133D334AE960E2D663F0E33979E116BB62771E9B0407E16FC18B3E3BC64065ED926896B1DB5052C06703B2CB59AF',1760000000000040,NULL);
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
CREATE INDEX connections_of_account ON connections (tenant_id, account_id, origin);
CREATE INDEX credentials_by_keyring_key ON credentials (ring_key_id);
CREATE INDEX sessions_by_keyring_key ON sessions (ring_key_id);
CREATE INDEX idempotency_records_by_expiry ON idempotency_records (tenant_id, expires_at);
CREATE INDEX idempotency_records_of_profile ON idempotency_records (tenant_id, profile_key);
CREATE INDEX events_of_profile ON events (tenant_id, profile_key);
CREATE INDEX login_debits_of_account ON login_debits (account_id, origin, at);
CREATE INDEX login_debits_by_age ON login_debits (at);
CREATE INDEX login_pauses_by_end ON login_pauses (until);
CREATE INDEX connections_due ON connections (next_check_at);
CREATE INDEX connections_due_of_tenant ON connections (tenant_id, next_check_at);
CREATE INDEX event_marks_by_age ON event_marks (at);
CREATE INDEX connections_to_reconnect ON connections (tenant_id, profile_created_at, profile_key) WHERE reconnect_reason IS NOT NULL;
CREATE INDEX audit_by_age ON audit (at);
CREATE INDEX audit_of_tenant ON audit (tenant_id, at);
CREATE INDEX webhooks_of_tenant ON webhooks (tenant_id, created_at, webhook_id);
CREATE INDEX webhook_secrets_by_keyring_key ON webhook_secrets (ring_key_id);
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook_id, next_at) WHERE failed_at IS NULL;
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (webhook_id, failed_at, message_id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (failed_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',1);
COMMIT;
