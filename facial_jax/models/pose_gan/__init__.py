"""PoseGAN: from speech to head poses (3D Talking Face with Personalized Pose Dynamics, CVM)."""
